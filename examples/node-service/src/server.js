import { createServer } from "node:http";

export function sum(text) {
  const numbers = text.split(",").map((word) => (word.trim() === "" ? NaN : Number(word)));
  if (numbers.some(Number.isNaN)) throw new RangeError("numbers with a comma between them");
  return numbers.reduce((left, right) => left + right, 0);
}

function answer(url) {
  if (url.pathname === "/healthz") return [200, { status: "ok" }];
  if (url.pathname !== "/sum") return [404, { error: "not found" }];
  try {
    return [200, { sum: sum(url.searchParams.get("numbers") ?? "") }];
  } catch (error) {
    return [400, { error: error.message }];
  }
}

export const server = () =>
  createServer((request, response) => {
    const [status, body] = answer(new URL(request.url, "http://localhost"));
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
