// What happens in the run, by one connection for all tabs of a browser, which makes but six to one place: one tab has it, and
// tells the others. One that comes late has a connection of its own until it knows all that they know.
"use strict";
class SharedEvents {
  #kinds;
  #take;
  #lost;
  /** Where there is none (no secure context, as with http to another host), each tab is on its own. */
  #channel = navigator.locks ? new BroadcastChannel("smtpsource") : null;
  /** Is it this tab that tells the others? Then what lets another one do so. */
  #leads = this.#channel === null;
  #release = null;
  #isOver = false;
  #source = null;
  #reconnect = null;
  /** The id of the last second that is known here, and whether all from before is. */
  #at = "";
  #isKnown = false;
  /** What the others were told, from the last second on. */
  #heard = [];

  /** @param take is given the kind of each event and what it says; lost is called while nobody answers. */
  constructor(kinds, take, lost) {
    [this.#kinds, this.#take, this.#lost] = [kinds, take, lost];
    this.#open();
    if (this.#channel === null) return;
    this.#channel.onmessage = (message) => this.#hear(message.data);
    navigator.locks.request("smtpsource", () => new Promise((release) => this.#lead(release)));
  }

  /** Take everything anew, for all. */
  again() {
    if (this.#leads) this.#open();
  }

  /** There is nothing more. */
  end() {
    this.#isOver = true;
    this.#close();
    this.#release?.();
  }

  #close() {
    clearTimeout(this.#reconnect);
    this.#source?.close();
    this.#source = null;
  }

  #open(after = "") {
    this.#close();
    this.#isKnown = false;
    const source = (this.#source = new EventSource(after ? `events?after=${encodeURIComponent(after)}` : "events"));
    for (const kind of this.#kinds)
      source.addEventListener(kind, ({ data, lastEventId }) => this.#come({ kind, data, before: this.#at, at: lastEventId || after }));
    source.onerror = () => {
      this.#lost();
      if (this.#leads) this.#channel?.postMessage({ kind: "lost" });
      // Where the answer was an error, browsers give up.
      if (source.readyState === EventSource.CLOSED) this.#reconnect = setTimeout(() => this.#open(this.#at), 3000);
    };
  }

  #lead(release) {
    this.#release = release;
    if (this.#isOver) return release();
    this.#leads = true;
    if (this.#source === null) this.#open(this.#at);
  }

  /** An event of a connection of this tab. */
  #come(event) {
    if (this.#leads) this.#channel?.postMessage(event);
    this.#know(event);
    this.#isKnown ||= event.kind === "known";
    this.#join();
  }

  #know({ kind, data, at }) {
    this.#at = at;
    this.#take(kind, JSON.parse(data));
  }

  /** One that another tab tells. */
  #hear(event) {
    if (this.#leads || this.#isOver) return;
    if (this.#source !== null) {
      if (event.kind === "frame") this.#heard = [];
      this.#heard.push(event);
      this.#join();
    } else if (event.kind === "lost") this.#lost();
    else if (event.before === this.#at) this.#know(event);
    // Something was missed, while another tab began to tell.
    else this.#open(this.#at);
  }

  /** If all that was told up to a second is known here, what comes after it will do. */
  #join() {
    const [first] = this.#heard;
    if (this.#leads || this.#source === null || !this.#isKnown || first?.at !== this.#at) return;
    if (first.kind !== "frame" && this.#at !== "") return;
    this.#close();
    for (const event of this.#heard.splice(0)) if (event !== first || event.kind !== "frame") this.#hear(event);
  }
}
