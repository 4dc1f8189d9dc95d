import { usePreferences } from '../app/preferences'
import { type MoreText, moreEn } from '../i18n/more-en'
import { moreZh } from '../i18n/more-zh'

const texts: Record<'en' | 'zh', MoreText> = { en: moreEn, zh: moreZh }

/** The texts of the pages that are loaded on demand: the list does without. */
export function useMoreText(): MoreText {
  return texts[usePreferences().language]
}
