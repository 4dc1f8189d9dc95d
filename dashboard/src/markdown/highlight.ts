import bash from 'highlight.js/lib/languages/bash'
import cpp from 'highlight.js/lib/languages/cpp'
import csharp from 'highlight.js/lib/languages/csharp'
import css from 'highlight.js/lib/languages/css'
import diff from 'highlight.js/lib/languages/diff'
import dockerfile from 'highlight.js/lib/languages/dockerfile'
import go from 'highlight.js/lib/languages/go'
import ini from 'highlight.js/lib/languages/ini'
import java from 'highlight.js/lib/languages/java'
import javascript from 'highlight.js/lib/languages/javascript'
import json from 'highlight.js/lib/languages/json'
import kotlin from 'highlight.js/lib/languages/kotlin'
import markdown from 'highlight.js/lib/languages/markdown'
import php from 'highlight.js/lib/languages/php'
import python from 'highlight.js/lib/languages/python'
import ruby from 'highlight.js/lib/languages/ruby'
import rust from 'highlight.js/lib/languages/rust'
import sql from 'highlight.js/lib/languages/sql'
import typescript from 'highlight.js/lib/languages/typescript'
import xml from 'highlight.js/lib/languages/xml'
import yaml from 'highlight.js/lib/languages/yaml'
import { createLowlight } from 'lowlight'

const lowlight = createLowlight({
  bash,
  cpp,
  csharp,
  css,
  diff,
  dockerfile,
  go,
  ini,
  java,
  javascript,
  json,
  kotlin,
  markdown,
  php,
  python,
  ruby,
  rust,
  sql,
  typescript,
  xml,
  yaml,
})

/** A piece of code: text, or pieces of one kind. */
export type Piece = string | { readonly kind: string; readonly pieces: readonly Piece[] }

/** Longer code is shown without colours: it would hold up the page. */
const charactersAtMost = 40_000

/** `undefined`: a language that is not known here, or more code than is coloured. */
export function highlight(code: string, language: string): readonly Piece[] | undefined {
  if (code.length > charactersAtMost || !lowlight.registered(language)) return undefined
  return piecesOf(lowlight.highlight(language, code).children)
}

type Tree = ReturnType<typeof lowlight.highlight>['children']

function piecesOf(children: Tree): readonly Piece[] {
  return children.flatMap((child): Piece[] => {
    if (child.type === 'text') return [child.value]
    if (child.type !== 'element') return []
    const names = child.properties['className']
    const kind = Array.isArray(names) ? String(names[0] ?? '') : ''
    return [{ kind, pieces: piecesOf(child.children as Tree) }]
  })
}
