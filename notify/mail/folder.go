package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Folder is the relay of the local stack. It writes each message to a file that only this user can read.
type Folder struct {
	path string
	from *netmail.Address
	now  func() time.Time
}

// NewFolder creates the folder if it is missing.
func NewFolder(path string, from *netmail.Address) (*Folder, error) {
	const ownerOnly = 0o700
	if err := os.MkdirAll(path, ownerOnly); err != nil {
		return nil, fmt.Errorf("mail folder: %w", err)
	}
	return &Folder{path: path, from: from, now: time.Now}, nil
}

// fileName is the same on every attempt, so that a repeat overwrites the file.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.eml$`)

// Send writes the file whole or not at all.
func (f *Folder) Send(_ context.Context, m *Message) error {
	msg, _, err := m.mime(f.from, f.now())
	if err != nil {
		return &NotTakenError{Reason: err.Error()}
	}
	var b bytes.Buffer
	if _, err := msg.WriteTo(&b); err != nil {
		return &NotTakenError{Reason: err.Error()}
	}
	id, _, _ := strings.Cut(messageID(m.ID, ""), "@")
	if err := writeWhole(filepath.Join(f.path, id+".eml"), b.Bytes()); err != nil {
		return fmt.Errorf("mail folder: %w", err)
	}
	return nil
}

// Check implements Relay.
func (f *Folder) Check(context.Context) error {
	_, err := os.Stat(f.path)
	return err
}

// Close implements Relay.
func (f *Folder) Close() {}

func writeWhole(name string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(name), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	return err
}

// list returns the names of the newest files, newest first.
func (f *Folder) list(most int) ([]string, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	type aged struct {
		name string
		at   time.Time
	}
	var found []aged
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && fileName.MatchString(entry.Name()) {
			found = append(found, aged{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b aged) int {
		if c := b.at.Compare(a.at); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name)
	})
	names := make([]string, 0, min(len(found), most))
	for _, one := range found[:min(len(found), most)] {
		names = append(names, one.name)
	}
	return names, nil
}

var _ Relay = (*Folder)(nil)

// Forget removes the messages to these addresses.
func (f *Folder) Forget(addresses []string) error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return fmt.Errorf("the folder of mails: %w", err)
	}
	for _, entry := range entries {
		if !fileName.MatchString(entry.Name()) {
			continue
		}
		name := filepath.Join(f.path, entry.Name())
		isTo, err := isMailTo(name, addresses)
		if err == nil && isTo {
			err = os.Remove(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the folder of mails: %w", err)
		}
	}
	return nil
}

func isMailTo(name string, addresses []string) (bool, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	message, err := netmail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return false, nil // none of ours
	}
	to, err := message.Header.AddressList("To")
	if err != nil {
		return false, nil
	}
	return slices.ContainsFunc(to, func(a *netmail.Address) bool { return slices.Contains(addresses, a.Address) }), nil
}
