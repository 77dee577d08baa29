// Verifies one webhook with the official Standard Webhooks library for JavaScript: input, output and exit codes are
// those of verify_webhook.py.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

function fail(code, message) {
  console.error(`verify_webhook.mjs: ${message}`);
  process.exit(code);
}

let Webhook;
try {
  // The library lies under target/, where an import from this file would not look.
  ({ Webhook } = createRequire(new URL("../../target/interop-node/", import.meta.url))("standardwebhooks"));
} catch (error) {
  fail(2, `${error.message}\nhint: run scripts/setup`);
}

let request;
try {
  request = JSON.parse(readFileSync(0, "utf8"));
  for (const key of ["secret", "headers", "body_base64"]) {
    if (request[key] === undefined) throw new Error(`no ${key}`);
  }
} catch (error) {
  fail(2, `cannot read the request on standard input: ${error.message}`);
}

let payload;
try {
  payload = new Webhook(request.secret).verify(Buffer.from(request.body_base64, "base64"), request.headers);
} catch (error) {
  fail(1, `refused: ${error}`);
}
if (typeof payload?.type !== "string") fail(1, "verified, but the payload is no object with a `type`");
console.log(payload.type);
