package mail

import (
	"bytes"
	"errors"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"boxoffice/domain"
)

// A Message is one mail, ready to be sent.
type Message struct {
	ID      string // the id of the Mail
	To      string // an address in its normal form
	Subject string
	Text    string
	HTML    string
	Images  []File // shown by HTML as cid:<name>
	Files   []File // attached
}

// A File is part of a message.
type File struct {
	Name, ContentType string
	Content           []byte
}

// ParseSender parses the sender of mails, such as Box office <tickets@example.com>, and turns its domain into A-labels.
func ParseSender(text string) (*netmail.Address, error) {
	from, err := netmail.ParseAddress(text)
	if err != nil {
		return nil, errors.New("want an address, such as Box office <tickets@example.com>")
	}
	at := strings.LastIndexByte(from.Address, '@')
	host, err := idna.Lookup.ToASCII(from.Address[at+1:])
	if err != nil || !isASCII(from.Address[:at]) {
		return nil, errors.New("want an address whose first part is ASCII and whose domain can exist")
	}
	from.Address = from.Address[:at+1] + host
	if strings.ContainsFunc(from.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("want a name without control characters")
	}
	return from, nil
}

// mime writes the message in the form of RFC 5322, to the normal form of its address. Its Message-ID is the same on every attempt.
func (m *Message) mime(from *netmail.Address, at time.Time) (msg *gomail.Msg, to string, err error) {
	msg = gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithEncoding(gomail.EncodingQP))
	if to, err = domain.NormalizeEmail(m.To); err != nil {
		return nil, "", errors.New("no mail can be sent to the buyer's address")
	}
	msg.FromMailAddress(from)
	msg.ToMailAddress(&netmail.Address{Address: to})
	_, host, _ := strings.Cut(from.Address, "@")
	msg.SetMessageIDWithValue(messageID(m.ID+"."+readerName, host))
	msg.SetDateWithValue(at)
	// RFC 3834: no vacation notice answers this.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.Subject(oneLine(m.Subject))
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	for _, image := range m.Images {
		if err := msg.EmbedReader(image.Name, bytes.NewReader(image.Content),
			gomail.WithFileContentID(image.Name), gomail.WithFileContentType(gomail.ContentType(image.ContentType))); err != nil {
			return nil, "", fmt.Errorf("the image %s: %w", image.Name, err)
		}
	}
	for _, file := range m.Files {
		if err := msg.AttachReader(file.Name, bytes.NewReader(file.Content),
			gomail.WithFileContentType(gomail.ContentType(file.ContentType))); err != nil {
			return nil, "", fmt.Errorf("the file %s: %w", file.Name, err)
		}
	}
	return msg, to, nil
}

// messageID keeps the characters that may stand left of an @ without quotes (RFC 5322, 3.6.4).
func messageID(id, host string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-', r == '.':
			return r
		default:
			return '.'
		}
	}, id) + "@" + host
}

// oneLine puts a subject on one line, whatever the sale's name or a template contains.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == 0x85 || r == '\u2028' || r == '\u2029'
	}), " ")
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 0x7e || r < ' ' }) < 0
}
