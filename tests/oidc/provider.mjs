// The identity provider of the tests: oidc-provider, with people who sign in by themselves.
//
// Prints its issuer once it listens. `REDIRECT_URI` is where it sends people back to. Besides the provider's own routes:
//   POST /test/rotate         new keys that sign; the old ones are withdrawn
//   POST /test/mint           a token with the header and claims of the body, signed by the provider's key or by
//                             one of somebody else (`signer: 'foreign' | 'none' | 'secret'`)
//   GET  /test/reads          how often the keys were read
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose'
import { Provider } from 'oidc-provider'

const people = {
  ada: { name: 'Ada', relive_role: 'operator', team: { roles: ['staff', 'admin'] } },
  bob: { name: 'Bob' },
}
const redirect = process.env.REDIRECT_URI ?? 'http://127.0.0.1:7400/auth/callback'

const server = createServer()
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `http://127.0.0.1:${server.address().port}`

let number = 0
let reads = 0
let keys
let provider

async function newKeys() {
  number += 1
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(privateKey)), kid: `key-${number}`, use: 'sig', alg: 'RS256' }
  keys = { privateKey, publicKey, jwk }
}

function newProvider() {
  provider = new Provider(issuer, {
    clients: [
      { client_id: 'relive', client_secret: 'secret &+%', redirect_uris: [redirect] },
      {
        client_id: 'program',
        client_secret: 'secret',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
      { client_id: 'public', token_endpoint_auth_method: 'none', redirect_uris: [redirect] },
    ],
    jwks: { keys: [keys.jwk] },
    cookies: { keys: ['cookie secret'] },
    claims: { openid: ['sub'], profile: ['name', 'relive_role', 'team'] },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // Tokens of people are for the provider's own description of them.
        defaultResource: (_, client) => (client.clientId === 'program' ? 'urn:relive' : undefined),
        useGrantedResource: () => false,
        getResourceServerInfo: () => ({ scope: '', audience: 'relive-api', accessTokenFormat: 'jwt' }),
      },
    },
    extraTokenClaims: () => ({ relive_role: 'engine' }),
    interactions: { url: (_, interaction) => `/test/interaction/${interaction.uid}` },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    // What a person would agree to on a page.
    async loadExistingGrant({ oidc }) {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
      grant.addOIDCScope('openid profile email')
      await grant.save()
      return grant
    },
  })
}

async function body(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString() || '{}')
}

async function mint({ header = {}, claims = {}, signer = 'own' }) {
  const now = Math.floor(Date.now() / 1000)
  const payload = {
    iss: issuer,
    aud: 'relive-api',
    sub: 'ada',
    iat: now,
    exp: now + 300,
    relive_role: 'viewer',
    ...claims,
  }
  const head = { alg: 'RS256', kid: keys.jwk.kid, typ: 'JWT', ...header }
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  if (signer === 'none') return `${part({ ...head, alg: 'none' })}.${part(payload)}.`
  if (signer === 'secret') {
    // The attack on verifiers that take the public key for a shared secret.
    const text = `${part({ ...head, alg: 'HS256' })}.${part(payload)}`
    return `${text}.${createHmac('sha256', await exportSPKI(keys.publicKey))
      .update(text)
      .digest('base64url')}`
  }
  const key = signer === 'foreign' ? (await generateKeyPair('RS256')).privateKey : keys.privateKey
  return new SignJWT(payload).setProtectedHeader(head).sign(key)
}

server.on('request', async (request, response) => {
  const { pathname } = new URL(request.url, issuer)
  try {
    if (pathname === '/test/rotate') {
      await newKeys()
      newProvider()
      response.end(keys.jwk.kid)
    } else if (pathname === '/test/mint') {
      response.end(await mint(await body(request)))
    } else if (pathname === '/test/reads') {
      response.end(String(reads))
    } else if (pathname.startsWith('/test/interaction/')) {
      const { params } = await provider.interactionDetails(request, response)
      const accountId = params.login_hint ?? 'ada'
      await provider.interactionFinished(request, response, { login: { accountId } })
    } else {
      if (pathname === '/jwks') reads += 1
      await provider.callback()(request, response)
    }
  } catch (error) {
    response.statusCode = 500
    response.end(String(error))
  }
})

await newKeys()
newProvider()
console.log(`issuer ${issuer}`)
// Ends with the test, whichever way that ends.
process.stdin.on('end', () => process.exit(0)).resume()
