// oidc-provider on loopback, told what to do by lines of JSON (../serve.cjs); ends with its standard input.
const crypto = require("node:crypto");
const fs = require("node:fs");
const https = require("node:https");
const serve = require("../serve.cjs");
const pages = require("./pages.cjs");
const storage = require("./storage.cjs");

const SCOPES = ["openid", "offline_access", "email", "profile", "mail"];
const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const LOOPBACK = new Set(["127.0.0.1", "[::1]", "localhost"]);

// The provider's advice to its users; standard output is for answers alone.
console.info = console.warn = () => {};

serve(prepare, (error) => ({ message: error.message, stack: error.stack })).then(() => process.exit());

async function prepare(told) {
  const { Provider } = await import(require.resolve("oidc-provider"));
  const options = told.options; // leeway, rotation, lifetime, refresh_lifetime, device_lifetime: read at each use
  const users = new Map(); // account id -> user. An account id is opaque, as that of the big providers.
  const account = (user) => {
    const id = crypto.createHash("sha256").update(user).digest("hex").slice(0, 20);
    users.set(id, user);
    return id;
  };
  const redirects = new Set(told.redirect_uris);
  const requests = [];
  const { Adapter, removeWhere } = storage(() => options.leeway);

  const tls = { key: fs.readFileSync(told.key), cert: fs.readFileSync(told.certificate) };
  const server = https.createServer(tls);
  await new Promise((resolve, reject) => server.once("error", reject).listen(told.port, told.host, resolve));
  const issuer = `https://${told.host}:${server.address().port}`;

  const jwks = { keys: [crypto.createPublicKey(fs.readFileSync(told.client_key)).export({ format: "jwk" })] };
  const anyRedirect = ["http://127.0.0.1/callback"];
  const client = (more) => ({
    redirect_uris: anyRedirect,
    grant_types: ["authorization_code", "refresh_token", DEVICE],
    response_types: ["code"],
    ...more,
  });
  const application = { redirect_uris: [], response_types: [], grant_types: ["client_credentials"], scope: "mail" };
  const { ids, secret } = told;
  const provider = new Provider(issuer, {
    adapter: Adapter,
    clients: [
      client({ client_id: ids.public, token_endpoint_auth_method: "none" }),
      client({ client_id: ids.post, client_secret: secret, token_endpoint_auth_method: "client_secret_post" }),
      client({ client_id: ids.basic, client_secret: secret, token_endpoint_auth_method: "client_secret_basic" }),
      client({ client_id: ids.certificate, jwks, token_endpoint_auth_method: "private_key_jwt" }),
      { ...application, client_id: ids.application, client_secret: secret, token_endpoint_auth_method: "client_secret_post" },
      { ...application, client_id: ids.application_basic, client_secret: secret, token_endpoint_auth_method: "client_secret_basic" },
      { ...application, client_id: ids.application_certificate, jwks, token_endpoint_auth_method: "private_key_jwt" },
      // Whoever checks tokens: Dovecot.
      { ...application, client_id: ids.resource, client_secret: secret, token_endpoint_auth_method: "client_secret_post" },
    ],
    scopes: SCOPES,
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username"] },
    conformIdTokenClaims: false, // the e-mail address is in the id token, not in userinfo alone
    cookies: { keys: [crypto.randomBytes(16).toString("hex")] },
    jwks: { keys: [crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" })] },
    pkce: { required: (_, { clientAuthMethod }) => clientAuthMethod === "none" },
    rotateRefreshToken: () => options.rotation,
    ttl: {
      AccessToken: () => options.lifetime,
      ClientCredentials: () => options.lifetime,
      RefreshToken: () => options.refresh_lifetime,
      DeviceCode: () => options.device_lifetime,
      IdToken: 3600,
      Interaction: 3600,
      Session: 86400,
      Grant: 10 * 365 * 86400,
    },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true, ...pages.device },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      userinfo: { enabled: true },
      rpInitiatedLogout: { enabled: false },
    },
    findAccount: (_, id) => users.has(id) && {
      accountId: id,
      claims: () => {
        const user = users.get(id);
        return { sub: id, email: user, email_verified: true, name: `The person ${user}`, preferred_username: user };
      },
    },
    renderError: pages.error,
  });

  // Providers take any port of the loopback for programs; a test's https addresses are known only once popgate runs.
  const allowed = provider.Client.prototype.redirectUriAllowed;
  provider.Client.prototype.redirectUriAllowed = function redirectUriAllowed(uri) {
    if (allowed.call(this, uri) || redirects.has(uri)) return true;
    const { protocol, hostname } = new URL(uri);
    return protocol === "http:" && LOOPBACK.has(hostname);
  };

  provider.use(async (ctx, next) => {
    await next();
    const { oidc, body } = ctx;
    if (oidc?.route === "introspection" && body?.active && users.has(body.sub)) body.username = users.get(body.sub);
    // Without it, those who sign in would wait for five seconds each time.
    if (oidc?.route === "device_authorization" && body?.device_code) body.interval = 1;
    if (oidc?.route !== "token") return;
    requests.push({
      grant: oidc.params?.grant_type ?? null,
      client: oidc.client?.clientId ?? oidc.params?.client_id ?? null,
      user: users.get(oidc.entities.Account?.accountId) ?? null,
      outcome: body?.error ?? "ok",
      description: body?.error_description ?? null,
    });
  });
  provider.use(pages.interactions(provider, account));
  provider.on("server_error", (_, error) => console.error(error.stack));
  server.on("request", provider.callback());

  return {
    where: () => issuer,
    set: (more) => void Object.assign(options, more),
    allow_redirect: (uri) => void redirects.add(uri),
    requests: () => requests,
    forget_requests: () => void requests.splice(0),
    revoke: (user) => removeWhere("accountId", account(user)),
    // Access tokens alone: what a 401 in the middle of a session comes from.
    end_access_tokens: (user) => removeWhere("accountId", account(user), "AccessToken"),
  };
}
