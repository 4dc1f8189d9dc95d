import { useMoreText } from '../more/text'
import { SecretField } from '../ui/secret-field'

/** A secret that was just made: the only time that it can be seen. */
export function NewSecret({ secret, onClose }: { secret: string; onClose(): void }) {
  const m = useMoreText()
  return (
    <>
      {secret === '' ? (
        // The answer to the first attempt was lost, and with it the secret.
        <p>{m.secretLost}</p>
      ) : (
        <>
          <p>{m.secretOnce}</p>
          <SecretField label={m.secret} value={secret} />
        </>
      )}
      <div className="buttons end">
        <button type="button" className="primary" onClick={onClose}>
          {m.done}
        </button>
      </div>
    </>
  )
}
