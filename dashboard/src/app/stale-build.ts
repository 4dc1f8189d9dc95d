const key = 'relive.reloaded'
const onceInMs = 60_000

/**
 * Loads the page again if a part of it is gone, as when the server was replaced by a newer one while the page was
 * open. At most once a minute: a part can be missing for other reasons, too.
 */
export function reloadStaleBuild(): void {
  addEventListener('vite:preloadError', (event) => {
    try {
      const last = Number(sessionStorage.getItem(key) ?? 0)
      if (Date.now() - last < onceInMs) return
      sessionStorage.setItem(key, String(Date.now()))
    } catch {
      // Without storage it is not known whether this was tried before.
      return
    }
    event.preventDefault()
    location.reload()
  })
}
