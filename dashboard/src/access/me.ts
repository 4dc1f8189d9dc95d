import { ReliveError, type SignInOptions, type WhoAmI } from '@relive/types'

import { get, request } from '../api/http'
import { FrameStore } from '../store/frame-store'
import { useStore } from '../store/use-store'
import { linkedToken } from './fragment'
import { may, type Offer } from './may'

export interface AccessState {
  /**
   * - `asking`: who one is, is not known yet;
   * - `in`: the pages are shown;
   * - `out`: the server wants a key, a token or a sign-in first;
   * - `choosing`: a share link was opened by somebody who is signed in already.
   */
  readonly phase: 'asking' | 'in' | 'out' | 'choosing'
  /** `undefined` while the server does not say: then everything is offered, and the server refuses. */
  readonly me: WhoAmI | undefined
  /** Whether an identity provider can be signed in with. */
  readonly hasProvider: boolean
  /** A share link that was opened is not valid. */
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

/** Finds out who one is, and signs in with the token of a share link. */
export async function begin(): Promise<void> {
  const token = linkedToken()
  const me = await whoAmI()
  if (me === 'nobody') {
    if (token === undefined) await showSignIn()
    else await goOnWith(token)
  } else if (token !== undefined && me?.required) {
    // Not silently: whoever sends a link must not decide as whom its reader goes on.
    pendingToken = token
    set({ phase: 'choosing', me })
  } else {
    set({ phase: 'in', me })
    if (me === undefined) setTimeout(() => void askAgain(), retryMs)
  }
}

/** The answer to a share link: as its guest, or as whom one is signed in. */
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
  // What no header can carry is no token; the browser would say so in words of its own.
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

/** Ends the sign-in. What the page holds of it goes with the page. */
export async function signOut(): Promise<void> {
  await request('DELETE', '/sign-in')
  location.reload()
}

/** The server refused the credential: shows where to sign in, if it is so. */
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

/** Whether to offer something, of a session if it is about one. */
export function useMay(offer: Offer, sessionId?: string): boolean {
  return useStore(access, (state) => may(state.me, offer, sessionId))
}
