'use client'

import { ReliveClient, type ReliveClientOptions, type TokenSource } from '@relive/types'
import { Stores } from '@relive/types/stores'
import { createContext, type ReactNode, useContext, useEffect, useLayoutEffect, useRef, useState } from 'react'

export type ReliveProviderProps = {
  children?: ReactNode
} & (
  | {
      /** The server's base address. Another one makes a new client. */
      url: string
      /**
       * A key or an access token, or a function that gives one. A function may be another one on each render; a
       * changed text makes a new client.
       */
      getToken?: TokenSource | undefined
      /** Read once, when the client is made. */
      options?: Omit<ReliveClientOptions, 'url' | 'getToken'> | undefined
      client?: undefined
    }
  | {
      /** A client of your own, which you close yourself. */
      client: ReliveClient
      url?: undefined
      getToken?: undefined
      options?: undefined
    }
)

const StoresContext = createContext<Stores | undefined>(undefined)

interface Held {
  readonly key: string
  readonly stores: Stores
  /** Whether it is this provider that closes the client. */
  readonly isOwn: boolean
  isClosed: boolean
}

/** Gives the hooks below it a client: one socket for all of them. */
export function ReliveProvider(props: ReliveProviderProps) {
  const { children, client, url = '', getToken } = props
  const newest = useRef(getToken)
  useLayoutEffect(() => {
    newest.current = getToken
  }, [getToken])
  const key = JSON.stringify([url, typeof getToken === 'function' ? 'function' : (getToken ?? null)])
  const [held, setHeld] = useState(() => make(props, key, newest))
  const isCurrent = client === undefined ? held.isOwn && held.key === key : held.stores.client === client
  // Another server or client: state of the previous one must never be rendered.
  const current = isCurrent ? held : make(props, key, newest)
  if (current !== held) setHeld(current)
  const closing = useRef(new Map<Held, ReturnType<typeof setTimeout>>())
  // biome-ignore lint/correctness/useExhaustiveDependencies: only another client, or the return to a page that was hidden, begins anew.
  useEffect(() => {
    const timers = closing.current
    clearTimeout(timers.get(current))
    timers.delete(current)
    // Hidden by <Activity>, and visible again.
    if (current.isClosed) setHeld(make(props, key, newest))
    return () => {
      if (!current.isOwn) return
      // StrictMode runs the cleanup and the effect again at once.
      const close = () => {
        current.isClosed = true
        current.stores.client.close()
        timers.delete(current)
      }
      timers.set(current, setTimeout(close, 0))
    }
  }, [current])
  return <StoresContext.Provider value={current.stores}>{children}</StoresContext.Provider>
}

function make(props: ReliveProviderProps, key: string, newest: { readonly current: TokenSource | undefined }): Held {
  if (props.client !== undefined) {
    return { key, stores: new Stores(props.client), isOwn: false, isClosed: false }
  }
  const { url, getToken, options } = props
  // The newest function, so that it need not stay the same one.
  const ask = async () => {
    const source = newest.current ?? ''
    return typeof source === 'function' ? source() : source
  }
  const token = typeof getToken === 'function' ? ask : getToken
  const client = new ReliveClient({ ...options, url, ...(token !== undefined && { getToken: token }) })
  return { key, stores: new Stores(client), isOwn: true, isClosed: false }
}

export function useStores(): Stores {
  const stores = useContext(StoresContext)
  if (stores === undefined) throw new Error('this hook needs a <ReliveProvider> around its component')
  return stores
}

/** The client of the hooks, for whatever they do not do. */
export function useReliveClient(): ReliveClient {
  return useStores().client
}
