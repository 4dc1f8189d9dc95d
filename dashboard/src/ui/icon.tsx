import type { ReactNode } from 'react'

const shapes = {
  play: <path d="M4.5 2.8v10.4L13 8z" fill="currentColor" stroke="none" />,
  pause: <path d="M5 3v10M11 3v10" strokeWidth="2.6" />,
  stepBack: <path d="M11.5 3.2 5.6 8l5.9 4.8M4 3v10" />,
  stepForward: <path d="M4.5 3.2 10.4 8l-5.9 4.8M12 3v10" />,
  fit: <path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />,
  turn: (
    <path d="M3 6.5A5.2 5.2 0 0 1 13.2 8M13 9.5A5.2 5.2 0 0 1 2.8 8M13.4 4.6 13.2 8l-3.2-.6M2.6 11.4 2.8 8l3.2.6" />
  ),
  sun: (
    <path d="M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1.2v1.4M8 13.4v1.4M1.2 8h1.4M13.4 8h1.4M3.2 3.2l1 1M11.8 11.8l1 1M12.8 3.2l-1 1M4.2 11.8l-1 1" />
  ),
  moon: <path d="M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z" />,
  system: <path d="M2 3h12v8H2zM6 13.5h4" />,
  close: <path d="m4 4 8 8m0-8-8 8" />,
  plus: <path d="M8 3v10M3 8h10" />,
  minus: <path d="M3 8h10" />,
  width: <path d="M2 3v10M14 3v10M4.5 8h7M6.5 5.8 4.4 8l2.1 2.2M9.5 5.8 11.6 8l-2.1 2.2" />,
  sliders: <path d="M2 5h5M11 5h3M2 11h2.5M8.5 11H14M9 3v4M6.5 9v4" />,
  fork: <path d="M4 2.5v11M4 9.5c0-2.5 8-1.5 8-5.5V2.5" />,
  compare: <path d="M8 2v12M5.5 4.5h-3v7h3M10.5 4.5h3v7h-3" />,
  chevron: <path d="m6 3.5 4.5 4.5L6 12.5" />,
  menu: <path d="M2.5 4h11M2.5 8h11M2.5 12h11" />,
  reading: <path d="M3 3.5h10M3 6.5h10M3 9.5h10M3 12.5h6" />,
  parallel: <path d="M5 3v10M11 3v10" />,
} satisfies Record<string, ReactNode>

/** An icon next to or instead of a word; its button has the label. */
export function Icon({ name }: { name: keyof typeof shapes }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {shapes[name]}
    </svg>
  )
}
