// Gives visitors of your page a token for one session, and keeps the key to itself.
import { createServer } from 'node:http'

const { RELIVE_URL, RELIVE_TOKEN, SESSION_ID, PORT } = process.env

export const server = createServer(async (request, response) => {
  if (request.url !== '/relive-token') return response.writeHead(404).end()
  // Here you check who asks, as for the rest of your page.
  const given = await fetch(`${RELIVE_URL}/api/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${RELIVE_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ scopes: [`read:sessions:${SESSION_ID}`], expiresInSeconds: 900 }),
  })
  const { token } = await given.json()
  response.writeHead(given.status, { 'content-type': 'text/plain', 'cache-control': 'no-store' }).end(token)
}).listen(Number(PORT))
