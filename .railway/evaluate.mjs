// Prints what railway.ts says for the environment named by the first argument, as JSON with sorted keys. It speaks to nobody.
import { createRailwayContext } from "railway/iac";
import program from "./railway.js";

const sorted = (value) =>
  Array.isArray(value)
    ? value.map(sorted)
    : value !== null && typeof value === "object"
      ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]))
      : value;
const define = (name, definition) => ({ name, ...definition });
const graph = await program(createRailwayContext({ environment: process.argv[2] }), define);
console.log(JSON.stringify(sorted(graph), null, 2));
