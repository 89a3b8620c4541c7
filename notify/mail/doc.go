// Package mail tells buyers what became of their orders: it turns events into mails that are
// due, writes them from templates, and hands them to a relay.
//
// What is due stands in the database until a relay has taken it (Store), so a relay that is away
// delays mails and loses none, and a mail that was taken is not sent again under the same id.
// Whom a mail goes to is read from the order when it is sent. No error and no line of the log
// has an address in it.
package mail
