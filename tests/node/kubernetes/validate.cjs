// Reads a list of Kubernetes objects as JSON, and prints what their schemas have against each, as a list of texts.
"use strict";

const objects = JSON.parse(require("fs").readFileSync(0, "utf8"));
const problems = [];
for (const object of objects) {
  const Model = require(`kubernetes-models/${object.apiVersion}`)[object.kind];
  try {
    new Model(object).validate();
  } catch (error) {
    problems.push(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
console.log(JSON.stringify(problems));
