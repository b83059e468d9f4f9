// Google's own library: ["call", "messages.list", {parameters}] calls gmail.users.messages.list.
const { auth, gmail } = require("@googleapis/gmail");
const serve = require("./serve.cjs");

serve(({ origin, token }) => {
  const credential = new auth.OAuth2();
  credential.setCredentials({ access_token: token });
  const { users } = gmail({ version: "v1", auth: credential, rootUrl: origin + "/" });
  return {
    call: async (name, parameters) => {
      const words = name.split(".");
      const method = words.pop();
      const resource = words.reduce((at, word) => at[word], users);
      return (await resource[method]({ userId: "me", ...parameters })).data || null;
    },
  };
}, (error) => ({
  status: error.response?.status,
  reason: error.response?.data?.error?.errors?.[0]?.reason,
  message: error.message,
}));
