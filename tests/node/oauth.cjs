// The vendors' own OAuth2 libraries. Whatever host they mean, the token endpoint at `origin` is asked.
const google = require("google-auth-library");
const msal = require("@azure/msal-node");
const serve = require("./serve.cjs");

serve(({ origin, key, certificate, thumbprint, client_id, client_secret, tenant }) => {
  const send = (url, { method = "GET", body, headers } = {}) => {
    const { pathname, search } = new URL(url);
    return fetch(origin + pathname + search, { method, body, headers });
  };
  const oauth = () => new google.OAuth2Client({ clientId: client_id, clientSecret: client_secret,
    transporterOptions: { fetchImplementation: send } });
  const fetched = async (url, options) => {
    const answer = await send(url, options);
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.json() };
  };
  const network = {
    sendGetRequestAsync: (url, options) => fetched(url, options),
    sendPostRequestAsync: (url, options) => fetched(url, { ...options, method: "POST" }),
  };
  const authority = `https://login.microsoftonline.com/${tenant}`;
  const auth = {
    clientId: client_id,
    authority,
    cloudDiscoveryMetadata: JSON.stringify({ tenant_discovery_endpoint: `${authority}/v2.0/.well-known/openid-configuration`,
      metadata: [{ preferred_network: "login.microsoftonline.com", preferred_cache: "login.windows.net",
        aliases: ["login.microsoftonline.com"] }] }),
    authorityMetadata: JSON.stringify({ issuer: `${authority}/v2.0`, jwks_uri: `${authority}/keys`,
      token_endpoint: `${authority}/oauth2/v2.0/token`, authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
      device_authorization_endpoint: `${authority}/oauth2/v2.0/devicecode` }),
  };
  const system = { networkClient: network };
  const person = () => new msal.PublicClientApplication({ auth, system });
  const application = (proof) => new msal.ConfidentialClientApplication({ auth: { ...auth, ...proof }, system });
  const scopes = ["https://outlook.office.com/IMAP.AccessAsUser.All"];
  const unattended = { scopes: ["https://outlook.office365.com/.default"], skipCache: true };
  const token = (answer) => answer.accessToken;

  return {
    "google-code": async (code, codeVerifier) =>
      (await oauth().getToken({ code, codeVerifier, redirect_uri: "http://127.0.0.1:49152/" })).tokens,
    "google-refresh": async (refresh_token) => {
      const client = oauth();
      client.setCredentials({ refresh_token });
      return (await client.refreshAccessToken()).credentials;
    },
    "google-service-account": async (email, scope, subject) => new google.JWT({ email, key, scopes: [scope], subject,
      transporterOptions: { fetchImplementation: send } }).authorize(),
    "microsoft-code": async (code, codeVerifier) =>
      token(await person().acquireTokenByCode({ code, codeVerifier, scopes, redirectUri: "http://localhost" })),
    "microsoft-refresh": async (refreshToken) => token(await person().acquireTokenByRefreshToken({ refreshToken, scopes })),
    "microsoft-device": async () => {
      let told;
      const answer = await person().acquireTokenByDeviceCode({ scopes, deviceCodeCallback: (each) => { told = each; } });
      return { told, token: token(answer) };
    },
    "microsoft-secret": async () =>
      token(await application({ clientSecret: client_secret }).acquireTokenByClientCredential(unattended)),
    "microsoft-certificate": async () => token(await application({ clientCertificate: { thumbprintSha256: thumbprint,
      privateKey: key, x5c: certificate } }).acquireTokenByClientCredential(unattended)),
  };
}, (error) => ({ code: error.errorCode ?? error.response?.data?.error ?? error.code, message: error.message, stack: error.stack }));
