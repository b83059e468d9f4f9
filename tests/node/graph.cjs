// Microsoft's own library, with what it has for pages and batches.
const graph = require("@microsoft/microsoft-graph-client");
const serve = require("./serve.cjs");

serve(({ origin, token, prefer }) => {
  const client = graph.Client.init({
    authProvider: (done) => done(null, token),
    baseUrl: origin + "/",
    customHosts: new Set([new URL(origin).hostname]),
  });
  const headers = prefer ? { Prefer: prefer } : {};
  const request = (path) => client.api(path).headers(headers);
  return {
    get: (path) => request(path).get(),
    post: async (path, body) => (await request(path).post(body)) ?? null,
    patch: (path, body) => request(path).patch(body),
    delete: async (path) => (await request(path).delete()) ?? null,
    // The octets, in base64.
    octets: async (path) => {
      const answer = await request(path).responseType(graph.ResponseType.ARRAYBUFFER).get();
      return Buffer.from(answer).toString("base64");
    },
    // Everything on all pages, and the link for what changes later.
    pages: async (path) => {
      const values = [];
      const first = await request(path).get();
      const pages = new graph.PageIterator(client, first, (value) => values.push(value) > 0, { headers });
      await pages.iterate();
      return { values, deltaLink: pages.getDeltaLink() ?? null };
    },
    // {id: [status, body]} of requests [{method, path, body}], whose ids are their numbers.
    batch: async (orders) => {
      const steps = orders.map(({ method, path, body }, number) => ({
        id: String(number),
        request: new Request("https://graph.microsoft.com" + path, {
          method,
          headers: { ...headers, ...(body && { "Content-Type": "application/json" }) },
          body: body && JSON.stringify(body),
        }),
      }));
      const content = await new graph.BatchRequestContent(steps).getContent();
      const answers = new graph.BatchResponseContent(await client.api("/$batch").post(content));
      const found = {};
      for (const [id, answer] of answers.getResponses()) {
        const text = await answer.text();
        found[id] = [answer.status, text ? JSON.parse(text) : null];
      }
      return found;
    },
  };
}, (error) => ({ status: error.statusCode, code: error.code, message: error.message }));
