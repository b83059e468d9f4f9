// jmap-jam, an independent client of JMAP.
const { pathToFileURL } = require("node:url");
const serve = require("./serve.cjs");

serve(async ({ origin, token }) => {
  const { JamClient } = await import(pathToFileURL(require.resolve("jmap-jam")));
  const client = new JamClient({ sessionUrl: origin + "/.well-known/jmap", bearerToken: token });
  // It takes absolute URLs only; RFC 8620 does not ask for them.
  client.session = client.session.then((session) => {
    for (const name of ["apiUrl", "downloadUrl", "uploadUrl"]) {
      if (session[name].startsWith("/")) session[name] = origin + session[name];
    }
    return session;
  });
  return {
    session: () => client.session,
    account: () => client.getPrimaryAccount(),
    request: async (name, parameters) => (await client.request([name, parameters]))[0],
    // A query, and what was found by a reference to it.
    list: async (query, properties) => {
      const [answers] = await client.requestMany((t) => {
        const ids = t.Email.query(query);
        const emails = t.Email.get({ accountId: query.accountId, ids: ids.$ref("/ids"), properties });
        return { ids, emails };
      });
      return answers;
    },
    octets: async (accountId, blobId) => {
      const answer = await client.downloadBlob({ accountId, blobId, mimeType: "message/rfc822", fileName: "m.eml" });
      return Buffer.from(await answer.arrayBuffer()).toString("base64");
    },
  };
}, (error) => (error instanceof Error ? { message: String(error), cause: String(error.cause ?? "") } : error));
