// The addresses that the vendors publish, read from their libraries, as JSON: [{service, method, path, query, answer}].
// `answer` names the type of what comes back, as the vendor calls it.
const fs = require("node:fs");
const path = require("node:path");

const folder = (name) => {
  const found = process.env.NODE_PATH.split(path.delimiter).map((each) => path.join(each, name));
  return found.find((each) => fs.existsSync(each));
};

// Parameters of the library that it sends by other ways than the address.
const notInAddress = ["auth", "media", "requestBody"];

function* gmail() {
  const types = fs.readFileSync(path.join(folder("@googleapis/gmail"), "build/v1.d.ts"), "utf8");
  const code = fs.readFileSync(path.join(folder("@googleapis/gmail"), "build/v1.js"), "utf8");
  const members = {}; // of each interface
  for (const [, name, body] of types.matchAll(/interface ([\w$]+)[^{]*\{(.*?)^    \}/gms)) {
    members[name] = [...body.matchAll(/^        '?([\w$.]+)'?\?: /gm)].map((each) => each[1]);
  }
  const answers = {}; // of each kind of parameters
  for (const [, parameters, answer] of types.matchAll(/params\?: ([\w$]+), options\?: .*HTTP2<([\w$]+)>>;$/gm)) {
    answers[parameters] = answer;
  }
  for (const [, resource, body] of code.matchAll(/^    class (Resource\$[\w$]+) \{(.*?)^    \}/gms)) {
    const methods = body.matchAll(/^        (\w+)\(paramsOrCallback.*?rootUrl \+ '([^']+)'\).*?method: '(\w+)'/gms);
    for (const [, name, address, method] of methods) {
      const parameters = `Params$${resource}$${name[0].toUpperCase()}${name.slice(1).toLowerCase()}`;
      const inPath = [...address.matchAll(/\{(\w+)\}/g)].map((each) => each[1]);
      const query = [...members[parameters], ...members.StandardParameters].filter(
        (each) => ![...inPath, ...notInAddress].includes(each));
      yield { service: "gmail", method, path: address, query, answer: answers[parameters] ?? "" };
    }
  }
}

function* graph() {
  const files = function* (at) {
    for (const each of fs.readdirSync(at, { withFileTypes: true })) {
      if (each.isDirectory()) yield* files(path.join(at, each.name));
      else if (each.name === "index.js") yield path.join(at, each.name);
    }
  };
  for (const file of files(path.join(folder("@microsoft/msgraph-sdk-users"), "users/item"))) {
    const code = fs.readFileSync(file, "utf8");
    const templates = Object.fromEntries(
      [...code.matchAll(/^export const (\w+UriTemplate) = "([^"]+)";$/gm)].map((each) => each.slice(1)));
    for (const [, method, body] of code.matchAll(/^    (get|post|patch|put|delete): \{(.*?)^    \},$/gms)) {
      const name = /uriTemplate: (\w+)/.exec(body)?.[1];
      if (!name) continue; // no request, but a folder of that name
      const template = decodeURIComponent(templates[name]);
      // "{+baseurl}/a/{b}/c(){?d,e*}", or "?d={d}{&e}" where d must be there.
      const [, address, rest] = /^\{\+baseurl\}(.*?)(?:\(\))?((?:\{?\?.*)?)$/.exec(template);
      const query = [...rest.matchAll(/([$\w]+)(?:=\{\w+\})?/g)].map((each) => each[1]);
      const answer = /responseBodyFactory: create(\w+)FromDiscriminatorValue/.exec(body)?.[1] ?? "";
      yield { service: "graph", method: method.toUpperCase(), path: address, query, answer };
    }
  }
}

console.log(JSON.stringify([...gmail(), ...graph()]));
