// Package codec keeps what Temporal stores for the box office unreadable to
// Temporal, its database and its backups: a payload codec of the Temporal SDK
// that seals every payload with AES-256-GCM, and the codec server by which the
// Web UI and the temporal CLI show them to operators.
//
// Sealed are the arguments and results of workflows, activities, updates,
// signals and queries, markers, failure details, summaries and current details.
// Not sealed, because Temporal itself must read them or people must without a
// key: workflow ids, search attributes, and the messages of failures. None of
// these may name a buyer.
//
// It gives secrecy, and authorship only where a value asks for it (Unsealed): a
// payload that is not sealed passes, so that `temporal workflow signal` works
// without a key, and so that histories from before a key was set go on. A payment's
// event asks: one that is not sealed is a hint, and the provider is asked before
// anything is sold for it. Who may write to the namespace, and so cancel, refund and
// terminate, is Temporal's own authorization to decide.
//
// A ciphertext is bound to its key's id, not to where it stands: whoever can write
// to Temporal's database could put one workflow's payload into another. The SDK
// has a context to bind it to (converter.WorkflowSerializationContext), and it is
// left out on purpose. Temporal's codec protocol does not tell a codec server of
// which workflow a payload is, so the binding would have to be in the clear beside
// it. What a checkout believes because it is sealed names its order, and each event
// has an effect once: moved or repeated, it does nothing new. Against the rest stand
// Temporal's authorization and the ledger, which sells nothing twice whatever a
// history says.
//
// # Keys
//
// The first key of BOXOFFICE_PAYLOAD_KEYS seals, all of them open. To rotate:
// append the new key on every node, then put it first on every node, then, when
// the namespace's retention is over for what the old one sealed, remove the old
// one. Nonces are random, which bounds a key to 2³² payloads (NIST SP 800-38D
// §8.3): at the 20 of a paid checkout, 200 million checkouts.
//
// # In production
//
// The codec server opens whatever it is given: for programs that have its token
// (BOXOFFICE_CODEC_TOKEN), and for pages of the Web UI's origin. Only browsers are
// bound to tell the truth about an origin: a program on the same machine that
// claims to be such a page is served. It is therefore a process of its own
// (`boxoffice codec`), listens on loopback only, belongs on a machine where nobody
// else has an account, and is reached through a proxy beside it that speaks TLS and
// lets operators in: by the Web UI's own login (Temporal UI's
// codec.passAccessToken forwards the token) or by the proxy's cookie
// (codec.includeCredentials). Give it the payload keys and its token and nothing
// else, keep it away from buyers, and log at the proxy who asked. Without one, everything but
// reading payloads in the Web UI and the CLI works.
package codec
