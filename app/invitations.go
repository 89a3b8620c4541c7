package app

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"boxoffice/domain"
	"boxoffice/entitlement"
)

// invitations signs invitations with the organiser's key. Only the organiser has that
// key, so it works without a running box office.
func invitations(_ context.Context, args []string) error {
	flags := newFlags("invitations")
	sale := flags.String("sale", "", "the sale's id")
	keyFile := flags.String("key", "", "the file of the Ed25519 private key (PEM, PKCS #8): openssl genpkey -algorithm ed25519 -out invitations.pem")
	until := flags.String("until", "", "when the invitations expire, such as 2027-03-01T10:00:00Z")
	public := flags.Bool("public-key", false, "print the entitlement.invitation_key for a new sale, and sign nothing")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice invitations -key FILE -public-key\n       boxoffice invitations -key FILE -sale ID -until TIME <invitees\n"+
			"Reads the invitees from standard input, one a line: any name that is unique. Prints each name and its invitation, separated by a tab.\n"+
			"The link for an invitee is /sales/ID#invitation=INVITATION.")
		flags.PrintDefaults()
	}
	if err := parse(flags, args); err != nil {
		return err
	}
	key, err := readSigningKey(*keyFile)
	if err != nil {
		return err
	}
	if *public {
		_, err := fmt.Println(base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey)))
		return err
	}
	if !domain.ValidSaleID(*sale) {
		return errors.New("-sale must be a sale's id")
	}
	expiresAt, err := time.Parse(time.RFC3339, *until)
	if err != nil {
		return fmt.Errorf("-until must be a time such as 2027-03-01T10:00:00Z: %w", err)
	}
	return signInvitations(key, *sale, expiresAt, os.Stdin, os.Stdout)
}

func readSigningKey(file string) (ed25519.PrivateKey, error) {
	if file == "" {
		return nil, errors.New("-key is required")
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 private key (PKCS #8)", file)
	}
	return key, nil
}

func signInvitations(key ed25519.PrivateKey, sale string, expiresAt time.Time, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	written := bufio.NewWriter(out)
	for n := 1; lines.Scan(); n++ {
		invitee := strings.TrimSpace(lines.Text())
		if invitee == "" {
			continue
		}
		token, err := entitlement.SignInvitation(key, sale, invitee, expiresAt)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if _, err := fmt.Fprintf(written, "%s\t%s\n", invitee, token); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), written.Flush())
}
