// What a test has ordered the next requests to meet: `{count, …}`, where a count of null is until further notice.

export class Orders {
  #current = null;

  put(order) {
    this.#current = order;
  }

  withdraw() {
    this.#current = null;
  }

  take() {
    const order = this.#current;
    if (order?.count && --order.count === 0) this.#current = null;
    return order;
  }
}

export async function text(stream) {
  let all = '';
  for await (const chunk of stream.setEncoding('utf8')) all += chunk;
  return all;
}
