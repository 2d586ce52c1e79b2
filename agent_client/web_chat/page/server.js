"use strict";
// What the page says to its server, and hears from it.
// Defines: ServerError, callServer, EventStream.

const RETRY_MS = [500, 1000, 2000, 4000];

/** A request that was refused, or did not arrive (`status` 0). */
class ServerError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {string} hint
   */
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body] sent as JSON
 * @returns {Promise<any>} the JSON that came back
 */
async function callServer(method, path, body) {
  /** @type {RequestInit} */
  const request = { method, credentials: "same-origin", cache: "no-store" };
  if (method === "POST") {
    request.headers = { "Content-Type": "application/json" };
    request.body = JSON.stringify(body ?? {});
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new ServerError(0, "Seekling does not answer.", "Is it still running in its terminal?");
  }
  if (response.status === 401) {
    throw new ServerError(401, "Seekling was started anew.",
      "Open the address that it printed in its terminal.");
  }
  const told = await response.json().catch(() => ({}));
  if (response.ok) return told;
  const error = told.error ?? {};
  throw new ServerError(response.status, error.message || `The server said ${response.status}.`,
    error.hint ?? "");
}

/**
 * The events of a conversation, without loss: a connection that breaks is opened again where it
 * broke off. A page that nobody sees keeps none, as a browser has six for all of its tabs.
 */
class EventStream {
  /**
   * @param {string} path
   * @param {string} after the event that is known already
   * @param {{onEvent: (event: ChatEvent) => void, onState: (state: "open" | "lost" | "gone" | "refused")
   *   => void}} listener
   */
  constructor(path, after, listener) {
    this.path = path;
    this.after = after;
    this.listener = listener;
    /** @type {EventSource | null} */
    this.source = null;
    this.isClosed = false;
    this.failures = 0;
    this.timer = 0;
    this.onVisibility = () => {
      if (document.hidden) this.disconnect();
      else this.connect();
    };
    document.addEventListener("visibilitychange", this.onVisibility);
    if (!document.hidden) this.connect();
  }

  connect() {
    this.disconnect();
    if (this.isClosed) return;
    const source = new EventSource(`${this.path}?after=${encodeURIComponent(this.after)}`);
    this.source = source;
    source.onopen = () => {
      this.failures = 0;
      this.listener.onState("open");
    };
    source.onmessage = (message) => {
      if (message.lastEventId) this.after = message.lastEventId;
      this.listener.onEvent(JSON.parse(message.data));
    };
    source.onerror = () => this.retry();
  }

  retry() {
    this.disconnect();
    if (this.isClosed || document.hidden) return;
    this.failures += 1;
    if (this.failures > 1) this.listener.onState("lost");
    const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length) - 1];
    this.timer = window.setTimeout(() => void this.tryAgain(), wait);
  }

  async tryAgain() {
    try {
      await callServer("GET", "/api/status");
    } catch (error) {
      if (this.isClosed) return;
      if (error instanceof ServerError && error.status === 401) {
        this.listener.onState("refused");
        this.close();
        return;
      }
      this.listener.onState("gone");
      this.retry();
      return;
    }
    this.connect();
  }

  disconnect() {
    window.clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  close() {
    this.isClosed = true;
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.disconnect();
  }
}
