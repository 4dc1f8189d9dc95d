import { usePreferences } from '../app/preferences'
import { en } from './en'
import { zh } from './zh'

/** Every word the pages show. A missing one does not compile. */
export type Text = typeof en

const texts: Record<'en' | 'zh', Text> = { en, zh }

export function useText(): Text {
  return texts[usePreferences().language]
}
