import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { server, sum } from "../src/server.js";

const service = server();
let base;

before(async () => {
  await new Promise((ready) => service.listen(0, "127.0.0.1", ready));
  base = `http://127.0.0.1:${service.address().port}`;
});
after(() => service.close());

test("adds", () => assert.equal(sum("1, 2,3.5"), 6.5));

test("answers over HTTP", async () => {
  const response = await fetch(`${base}/sum?numbers=40,2`);
  assert.deepEqual([response.status, await response.json()], [200, { sum: 42 }]);
});

test("is healthy", async () => assert.equal((await fetch(`${base}/healthz`)).status, 200));

test("tells what it does not take", async () => assert.equal((await fetch(`${base}/sum?numbers=1,x`)).status, 400));
