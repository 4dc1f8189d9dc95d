import { useSyncExternalStore } from 'react'

export type Language = 'en' | 'zh'
export type Theme = 'system' | 'light' | 'dark'

export interface Preferences {
  language: Language
  theme: Theme
  /** The name of the reviewer, sent with the answers to reviews. */
  reviewer: string
}

const languageKey = 'relive.language'
const themeKey = 'relive.theme'
const reviewerKey = 'relive.reviewer'

/** Some private windows refuse storage; preferences then last as long as the page. */
function stored(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // As above.
  }
}

function initial(): Preferences {
  const language = stored(languageKey)
  const theme = stored(themeKey)
  return {
    language: language === 'en' || language === 'zh' ? language : navigator.language.startsWith('zh') ? 'zh' : 'en',
    theme: theme === 'light' || theme === 'dark' ? theme : 'system',
    reviewer: stored(reviewerKey) ?? '',
  }
}

let preferences = initial()
const listeners = new Set<() => void>()
apply()

function apply(): void {
  const root = document.documentElement
  root.lang = preferences.language === 'zh' ? 'zh-CN' : 'en'
  if (preferences.theme === 'system') delete root.dataset['theme']
  else root.dataset['theme'] = preferences.theme
}

export function prefer(change: Partial<Preferences>): void {
  preferences = { ...preferences, ...change }
  store(languageKey, preferences.language)
  store(themeKey, preferences.theme)
  store(reviewerKey, preferences.reviewer)
  apply()
  for (const listener of [...listeners]) listener()
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => preferences,
  )
}
