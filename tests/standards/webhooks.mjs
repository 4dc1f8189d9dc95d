// Verifies webhooks with the package of Standard Webhooks. Input: {secret, received: [{id, timestamp, signature, body}]};
// output: for each, its type, or the error.
import { readFileSync } from 'node:fs'
import { Webhook } from 'standardwebhooks'

const { secret, received } = JSON.parse(readFileSync(0, 'utf8'))
const webhook = new Webhook(secret)
const outcome = ({ id, timestamp, signature, body }) => {
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
  try {
    return webhook.verify(body, headers).type
  } catch (error) {
    return error.message
  }
}
process.stdout.write(JSON.stringify(received.map(outcome)))
