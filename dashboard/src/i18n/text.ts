import { usePreferences } from '../app/preferences'
import { en, type Text } from './en'
import { zh } from './zh'

const texts: Record<'en' | 'zh', Text> = { en, zh }

export function useText(): Text {
  return texts[usePreferences().language]
}
