// Package postgres keeps the books as plain rows in Postgres, behind the
// official client's interface (tigerbeetle_go.Client): the baseline that
// TigerBeetle is compared with. It is never the default.
//
// It is written as one would write it in SQL without being asked to lose: a
// request, however many transfers it carries, is one transaction of two round
// trips.
//
//  1. BEGIN, lock the accounts in the order of their ids (so that two requests
//     never wait for each other in a circle), read the transfers that the
//     request names.
//  2. With every transfer decided in memory, in sequence: INSERT the transfers,
//     UPDATE the accounts, each under the condition that its limit still holds,
//     COMMIT.
//
// Everyone who wants the same stock waits for its row from the first step to the
// flush of the second. That is the cost which the comparison shows.
//
// Answers are TigerBeetle's for all that package ledger asks: the same statuses in
// the same order of precedence, linked chains, burnt ids, timeouts, balancing
// transfers, account queries. What the box office does not use is refused with an
// error that wraps errors.ErrUnsupported and names it: imported and closing
// events, chains of accounts, histories, general queries, change events.
//
// Three things differ. Amounts and balances have 63 bits: anything larger overflows.
// Timestamps are the database's clock and grow on every account, but two transfers
// that share no account can have the same one. And a hold that has expired gives
// its seats back when a sweep comes by, every 250 ms, not in the middle of another
// request; from its deadline on it cannot be posted.
//
// Any number of processes may share the tables. The package knows nothing of
// orders, and the orders database nothing of it: the tables have a schema of their
// own.
package postgres
