import { type ReactNode, useEffect, useRef, useState } from 'react'

import { CopyButton } from '../ui/copy-button'
import type { Piece } from './highlight'

/** Code that is still being written is coloured when it rests this long. */
const restMs = 150

/** Code with a button to copy it, coloured once the colours have been loaded. */
export function CodeBlock({ code, language }: { code: string; language: string }) {
  const [coloured, setColoured] = useState<{ code: string; pieces: readonly Piece[] }>()
  const element = useRef<HTMLElement>(null)
  useEffect(() => {
    if (language === '') return
    let isOver = false
    const timer = setTimeout(() => {
      void import('./highlight').then(
        ({ highlight }) => {
          const pieces = isOver ? undefined : highlight(code, language)
          if (pieces !== undefined) setColoured({ code, pieces })
        },
        // Without colours it can be read as well.
        () => undefined,
      )
    }, restMs)
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [code, language])
  const select = () => {
    if (element.current !== null) getSelection()?.selectAllChildren(element.current)
  }
  return (
    <div className="code-block">
      <div className="code-head">
        <span>{language}</span>
        <CopyButton text={code} select={select} />
      </div>
      <pre tabIndex={0}>
        <code ref={element}>{coloured?.code === code ? coloured.pieces.map(drawn) : code}</code>
      </pre>
    </div>
  )
}

function drawn(piece: Piece, index: number): ReactNode {
  if (typeof piece === 'string') return piece
  return (
    <span key={index} className={piece.kind}>
      {piece.pieces.map(drawn)}
    </span>
  )
}
