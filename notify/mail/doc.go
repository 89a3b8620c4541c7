// Package mail sends mail to buyers about their orders. It queues a mail for each event that calls for one, writes it from
// templates, and hands it to an SMTP relay.
//
// The queue is in the database (Store). A mail stays there until a relay has accepted it, so a relay that is down delays mails
// and loses none, and an accepted mail is not sent again under the same id. The address is read from the order when the mail is
// sent. No error and no log line contains an address.
package mail
