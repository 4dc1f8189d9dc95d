/** Tags as one text, as addresses have them: separated by commas; a comma that is part of a tag follows a backslash. */
export function joinTags(tags: readonly string[]): string {
  return tags.map((tag) => tag.replace(/[\\,]/g, '\\$&')).join(',')
}

export function splitTags(text: string): readonly string[] {
  const tags = ['']
  for (const [, escaped, plain] of text.matchAll(/\\(.)|([^\\])/gsu)) {
    if (plain === ',') tags.push('')
    else tags.push((tags.pop() ?? '') + (escaped ?? plain ?? ''))
  }
  return [...new Set(tags.filter((tag) => tag !== ''))]
}
