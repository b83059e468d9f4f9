// Answers each line of JSON on standard input, [what, ...arguments], with a line of JSON. The first line tells where
// the server is and who asks; prepare(first line) makes the functions that `what` names.
const readline = require("node:readline");

module.exports = async function serve(prepare, describe) {
  let verbs = null;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    if (!verbs) {
      verbs = await prepare(told);
      continue;
    }
    let answer;
    try {
      answer = (await verbs[told[0]](...told.slice(1))) ?? null;
    } catch (error) {
      answer = { error: describe(error) };
    }
    console.log(JSON.stringify(answer));
  }
};
