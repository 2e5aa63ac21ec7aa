// Keeping things on the server: what somebody prefers, and what was measured.

const WAIT_MS = 500;

/**
 * Sends the newest value a moment after the last change, one request at a time.
 * ``told`` hears "saving", "saved" or an error {signedOut, status, code, message}.
 */
export class Keeper {
  constructor(url, token, told) {
    this.url = url;
    this.token = token;
    this.told = told;
    this.timer = null;
    this.waiting = undefined;
    this.busy = false;
  }

  keep(value) {
    this.waiting = value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), WAIT_MS);
  }

  /** Send now what still waits: the page is being left. */
  flush() {
    clearTimeout(this.timer);
    if (this.waiting !== undefined) this.send(true);
  }

  async send(leaving = false) {
    if (this.waiting === undefined || (this.busy && !leaving)) return;
    const value = this.waiting;
    this.waiting = undefined;
    this.busy = true;
    this.told("saving");
    let said;
    try {
      const answer = await fetch(this.url, {
        method: "PUT",
        credentials: "same-origin",
        keepalive: leaving,
        headers: {
          "Content-Type": "application/json",
          Accept: "application/json",
          "X-CSRFToken": this.token,
        },
        body: JSON.stringify(value),
      });
      const here = new URL(answer.url).pathname === new URL(this.url, location.href).pathname;
      if (answer.ok && here) said = "saved";
      else said = { signedOut: !here, status: answer.status, ...(await wordsOf(answer)) };
    } catch {
      said = { status: 0 };
    }
    this.busy = false;
    this.told(said);
    if (this.waiting !== undefined) this.send();
  }
}

async function wordsOf(answer) {
  try {
    const { code, message } = await answer.json();
    return { code, message };
  } catch {
    return {};
  }
}

export async function fetchJson(url) {
  const answer = await fetch(url, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}
