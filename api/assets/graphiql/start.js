// Starts GraphiQL. Everything goes over server-sent events where it is a subscription and plain HTTP otherwise, so that
// the API key of the headers editor works for both: browsers cannot set headers on a WebSocket.
'use strict';

const EXAMPLE = `# Paste your API key into Headers (below):  { "Authorization": "Bearer wsk_..." }
# then choose an operation and press the button.

query Numbers {
  numbers { nodes { id displayPhoneNumber state } }
}

query Messages {
  messages(first: 10) { nodes { id status direction acceptedAt content { text } } }
}

mutation Send {
  sendMessage(input: { numberId: "", to: "+16505551234", text: { body: "Hello" } }) {
    message { id status }
    position
    errors { code field message }
  }
}

subscription Watch {
  messageStatusChanged { position message { id status } }
}
`;

const request = (params, headers, accept, signal) => fetch('/graphql', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json', Accept: accept, ...headers },
  body: JSON.stringify(params),
  signal,
});

async function* events(params, headers, signal) {
  const answer = await request(params, headers, 'text/event-stream', signal);
  if (!answer.ok) { yield await answer.json(); return; }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += value;
    for (let end; (end = buffer.indexOf('\n\n')) >= 0; buffer = buffer.slice(end + 2)) {
      const lines = buffer.slice(0, end).split('\n');
      const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('');
      if (lines.includes('event: next')) yield JSON.parse(data);
      if (lines.includes('event: complete')) return;
    }
  }
}

function isSubscription(params, documentAST) {
  const operations = (documentAST?.definitions ?? []).filter((d) => d.kind === 'OperationDefinition');
  const chosen = operations.find((o) => !params.operationName || o.name?.value === params.operationName);
  return chosen?.operation === 'subscription';
}

const fetcher = (params, options) => {
  const headers = options?.headers ?? {};
  if (!isSubscription(params, options?.documentAST)) {
    return request(params, headers, 'application/graphql-response+json').then((answer) => answer.json());
  }
  const stop = new AbortController();
  const stream = events(params, headers, stop.signal);
  return {
    [Symbol.asyncIterator]: () => ({
      // The reading that is broken off ends the stream: as an error it would take the place of what was received.
      next: () => stream.next().catch((error) => {
        if (stop.signal.aborted) return { done: true, value: undefined };
        throw error;
      }),
      return: () => { stop.abort(); return Promise.resolve({ done: true, value: undefined }); },
    }),
  };
};

// What the browser keeps of queries and their history holds no API key.
const withoutKeys = (text) => String(text).replace(/wsk_[A-Za-z0-9_-]+/g, 'wsk_...');

const storage = {
  get length() { return localStorage.length; },
  getItem: (name) => localStorage.getItem(name),
  setItem: (name, value) => localStorage.setItem(name, withoutKeys(value)),
  removeItem: (name) => localStorage.removeItem(name),
  clear: () => localStorage.clear(),
};

// Earlier versions kept the headers of each query in the history.
for (const [name, value] of Object.entries(localStorage)) {
  if (name.startsWith('graphiql:')) storage.setItem(name, value);
}

ReactDOM.createRoot(document.getElementById('graphiql')).render(
  React.createElement(GraphiQL, {
    fetcher,
    storage,
    shouldPersistHeaders: false,
    defaultQuery: EXAMPLE,
    defaultEditorToolsVisibility: 'headers',
  }),
);
