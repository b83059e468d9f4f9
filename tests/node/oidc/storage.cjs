// What the provider remembers, for the tests to look at and to change. Consumed refresh tokens work for leeway()
// seconds more, as they do at Okta, Auth0 and Microsoft.
module.exports = function storage(leeway) {
  const records = new Map(); // "Model:id" -> {payload, consumedAt}

  class Adapter {
    constructor(model) {
      this.model = model;
    }

    key(id) {
      return `${this.model}:${id}`;
    }

    async upsert(id, payload) {
      records.set(this.key(id), { payload });
    }

    async find(id) {
      const record = records.get(this.key(id));
      if (!record) return undefined;
      const { payload, consumedAt } = record;
      const patience = this.model === "RefreshToken" ? leeway() * 1000 : 0;
      const isSpent = consumedAt !== undefined && Date.now() >= consumedAt + patience;
      return isSpent ? { ...payload, consumed: Math.floor(consumedAt / 1000) } : { ...payload };
    }

    async findWhere(name, value) {
      for (const [key, { payload }] of records) {
        if (key.startsWith(`${this.model}:`) && payload[name] === value) {
          return this.find(key.slice(this.model.length + 1));
        }
      }
      return undefined;
    }

    findByUid(uid) {
      return this.findWhere("uid", uid);
    }

    findByUserCode(userCode) {
      return this.findWhere("userCode", userCode);
    }

    async consume(id) {
      const record = records.get(this.key(id));
      record.consumedAt ??= Date.now();
    }

    async destroy(id) {
      records.delete(this.key(id));
    }

    async revokeByGrantId(grantId) {
      removeWhere("grantId", grantId);
    }
  }

  function removeWhere(name, value, model = "") {
    let removed = 0;
    for (const [key, { payload }] of records) {
      if (payload[name] === value && key.startsWith(model)) {
        records.delete(key);
        removed += 1;
      }
    }
    return removed;
  }

  return { Adapter, removeWhere };
};
