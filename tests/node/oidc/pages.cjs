// What a person sees of the provider: plain HTML that works without scripts, for browsers and for tests that post forms.

const escaped = (text) => String(text).replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);

const page = (title, body) => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>${escaped(title)}</title>
<main><h1>${escaped(title)}</h1>${body}</main></html>`;

const show = (ctx, title, body) => {
  ctx.type = "html";
  ctx.body = page(title, body);
};

// Which prompt, so that a form that was posted twice does no harm.
const form = (step, inner) => `<form method="post"><input type="hidden" name="step" value="${step}">${inner}</form>`;

const SIGN_IN = form("login", `<label>User name <input name="user" autocomplete="username" required autofocus></label>
<button>Sign in</button>`);

const consent = (client) => `<p>${escaped(client)} wants to read your mail.</p>
${form("consent", '<button name="answer" value="allow">Allow</button> <button name="answer" value="deny">Deny</button>')}`;

async function posted(request) {
  let text = "";
  for await (const piece of request) text += piece;
  return Object.fromEntries(new URLSearchParams(text));
}

// The grant of what is asked for and has not been granted yet.
async function granted(provider, { grantId, session, params, prompt }) {
  const grant = (grantId && (await provider.Grant.find(grantId))) ||
    new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(" "));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  return grant.save();
}

function interactions(provider, account) {
  return async (ctx, next) => {
    if (!ctx.path.startsWith("/interaction/")) return next();
    const interaction = await provider.interactionDetails(ctx.req, ctx.res);
    const { prompt, params } = interaction;
    if (ctx.method !== "POST") {
      if (prompt.name === "login") return show(ctx, "Sign in", SIGN_IN);
      return show(ctx, "Allow?", consent(params.client_id));
    }
    const { step, user, answer } = await posted(ctx.req);
    if (step !== prompt.name) return ctx.redirect(ctx.path);
    let result;
    if (step === "login") result = { login: { accountId: account(user.trim()) } };
    else if (answer === "allow") result = { consent: { grantId: await granted(provider, interaction) } };
    else result = { error: "access_denied", error_description: "the person has said no" };
    ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, { mergeWithLastSubmission: true }));
    return undefined;
  };
}

const device = {
  userCodeInputSource: (ctx, inner, _, error) =>
    show(ctx, "Connect a device", `${error ? '<p role="alert">That code is not known.</p>' : ""}
${inner}<button form="op.deviceInputForm">Continue</button>`),
  userCodeConfirmSource: (ctx, inner, client, _, code) =>
    show(ctx, "Is this the code?", `<p>${escaped(client.clientId)}: <strong>${escaped(code)}</strong></p>${inner}
<button form="op.deviceConfirmForm">Confirm</button>
<button form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button>`),
  successSource: (ctx) => show(ctx, "Connected", "<p>You may close this page.</p>"),
};

const error = (ctx, { error: code, error_description: text }) => show(ctx, "Error", `<p>${escaped(`${code}: ${text}`)}</p>`);

module.exports = { interactions, device, error };
