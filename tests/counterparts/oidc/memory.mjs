// Where oidc-provider keeps what it issued. Its own memory forgets the oldest of a few thousand entries, and a forgotten
// refresh token looks like a revoked one.

export class Memory {
  #entries = new Map();

  async upsert(id, payload) {
    this.#entries.set(id, payload);
  }

  async find(id) {
    return this.#entries.get(id);
  }

  async findByUid(uid) {
    return this.select((payload) => payload.uid === uid)[0]?.[1];
  }

  async consume(id) {
    this.#entries.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.#entries.delete(id);
  }

  async revokeByGrantId(grantId) {
    this.select((payload) => payload.grantId === grantId).forEach(([id]) => this.#entries.delete(id));
  }

  select(matches) {
    return [...this.#entries].filter(([, payload]) => matches(payload));
  }
}
