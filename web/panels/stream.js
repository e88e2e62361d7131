// A stream of events of the server that is taken up again, whatever ended it.

const PATIENCE = 2000;

/** Hear what the server tells. A browser takes a broken stream up by itself, but not one that the server refused, as it does while it is busy.
 * @param {string} path @param {(event: any) => void} hear a stream that was refused begins anew, so it may tell what was told before
 * @returns {() => void} what stops it */
export function listen(path, hear) {
  let timer = 0;
  /** @type {EventSource} */
  let source;
  const open = () => {
    source = new EventSource(path);
    source.onmessage = (message) => hear(JSON.parse(message.data));
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) timer = window.setTimeout(open, PATIENCE);
    };
  };
  open();
  return () => {
    clearTimeout(timer);
    source.onerror = null;
    source.close();
  };
}
