import { ReliveError, type SignInOptions, type WhoAmI } from '@relive/types'

import { get, request } from '../api/http'
import { FrameStore } from '../store/frame-store'
import { useStore } from '../store/use-store'
import { linkedToken } from './fragment'
import { may, type Offer } from './may'

export interface AccessState {
  /**
   * - `asking`: the caller is not known yet;
   * - `in`: the pages are shown;
   * - `out`: the server requires a key, a token or a sign-in;
   * - `choosing`: a share link was opened by a user who is signed in already.
   */
  readonly phase: 'asking' | 'in' | 'out' | 'choosing'
  /** `undefined` while the server does not say: then everything is offered, and the server refuses. */
  readonly me: WhoAmI | undefined
  /** Whether signing in with an identity provider is possible. */
  readonly hasProvider: boolean
  /** The share link that was opened is not valid. */
  readonly isLinkInvalid: boolean
}

export const access = new FrameStore<AccessState>({
  phase: 'asking',
  me: undefined,
  hasProvider: false,
  isLinkInvalid: false,
})

const retryMs = 2000
let pendingToken: string | undefined

function set(change: Partial<AccessState>): void {
  access.update(change)
  access.flush()
}

/** Determines the caller, and signs in with the token of a share link. */
export async function begin(): Promise<void> {
  const token = linkedToken()
  const me = await whoAmI()
  if (me === 'nobody') {
    if (token === undefined) await showSignIn()
    else await goOnWith(token)
  } else if (token !== undefined && me?.required) {
    // Not without asking: the sender of a link must not decide as whom its reader continues.
    pendingToken = token
    set({ phase: 'choosing', me })
  } else {
    set({ phase: 'in', me })
    if (me === undefined) setTimeout(() => void askAgain(), retryMs)
  }
}

/** The answer to a share link: continue as its guest, or as the signed-in user. */
export async function choose(asGuest: boolean): Promise<void> {
  const token = pendingToken
  pendingToken = undefined
  if (!asGuest || token === undefined) {
    set({ phase: 'in' })
    return
  }
  await goOnWith(token)
}

/** Exchanges a key or a token for the cookie. Rejects with a `ReliveError`. */
export async function exchange(token: string): Promise<WhoAmI> {
  // A text that no header can carry is not a token; the browser's own error text would be unclear.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new ReliveError('unauthorized', 'not a key or an access token')
  return request<WhoAmI>('POST', '/sign-in', { headers: { authorization: `Bearer ${token}` } })
}

async function goOnWith(token: string): Promise<void> {
  try {
    set({ phase: 'in', me: await exchange(token) })
  } catch {
    await showSignIn({ isLinkInvalid: true })
  }
}

/** Ends the sign-in, and discards the data of the page. */
export async function signOut(): Promise<void> {
  await request('DELETE', '/sign-in')
  location.reload()
}

/** The server refused the credential: shows the sign-in page if the caller is signed out. */
export async function recheck(): Promise<void> {
  if (access.latest.phase !== 'in') return
  const me = await whoAmI()
  if (me === 'nobody') await showSignIn()
  else if (me !== undefined) set({ me })
}

async function showSignIn(change: Partial<AccessState> = {}): Promise<void> {
  const options = await get<SignInOptions>('/sign-in').catch(() => undefined)
  set({ phase: 'out', me: undefined, hasProvider: options?.provider === true, ...change })
}

/** `undefined`: the server does not say. */
async function whoAmI(): Promise<WhoAmI | 'nobody' | undefined> {
  try {
    return await get<WhoAmI>('/me')
  } catch (error) {
    return error instanceof ReliveError && error.code === 'unauthorized' ? 'nobody' : undefined
  }
}

async function askAgain(): Promise<void> {
  await recheck()
  if (access.latest.phase === 'in' && access.latest.me === undefined) setTimeout(() => void askAgain(), retryMs)
}

export function useMe(): WhoAmI | undefined {
  return useStore(access, (state) => state.me)
}

/** Whether to offer an action, on a session if it concerns one. */
export function useMay(offer: Offer, sessionId?: string): boolean {
  return useStore(access, (state) => may(state.me, offer, sessionId))
}
