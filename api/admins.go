package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

const (
	adminTokenLenMin = 16
	// adminsMax bounds what a request with a wrong token costs.
	adminsMax = 32
	// anyOrganiser is the name of who has a token without one.
	anyOrganiser = "organiser"
)

// An Admin is somebody who may use the organiser's routes.
type Admin struct{ Name, Token string }

var adminName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// ParseAdmins reads who may use the organiser's routes: tokens with white space between them, each
// alone or as name:token. Two tokens may have one name, so that one can replace the other while both
// are valid. A name has 1–32 small letters, digits, dots, underscores and hyphens; what else is in
// front of a colon belongs to the token. Errors name no token.
func ParseAdmins(text string) ([]Admin, error) {
	var admins []Admin
	for _, field := range strings.Fields(text) {
		admin := Admin{Name: anyOrganiser, Token: field}
		if name, token, ok := strings.Cut(field, ":"); ok && adminName.MatchString(name) {
			admin = Admin{Name: name, Token: token}
		}
		if len(admin.Token) < adminTokenLenMin {
			return nil, fmt.Errorf("the token of %s has %d characters, want at least %d", admin.Name, len(admin.Token), adminTokenLenMin)
		}
		admins = append(admins, admin)
	}
	switch {
	case len(admins) == 0:
		return nil, errors.New("there is no token")
	case len(admins) > adminsMax:
		return nil, fmt.Errorf("there are %d tokens, at most %d are possible", len(admins), adminsMax)
	}
	return admins, nil
}

// A knownAdmin is an Admin without the token.
type knownAdmin struct {
	name string
	hash [sha256.Size]byte
}

func knownAdmins(admins []Admin) []knownAdmin {
	known := make([]knownAdmin, len(admins))
	for i, a := range admins {
		known[i] = knownAdmin{a.Name, sha256.Sum256([]byte(a.Token))}
	}
	return known
}

// adminOf is the name of the organiser whose token a header carries; empty: nobody's. Both sides
// are hashed and all are compared, so that the time it takes reveals nothing, not even a length.
func (s *Server) adminOf(authorization string) (name string) {
	got := sha256.Sum256([]byte(bearer(authorization)))
	for _, admin := range s.admins {
		if subtle.ConstantTimeCompare(admin.hash[:], got[:]) == 1 {
			name = admin.name
		}
	}
	return name
}

// isAdmin reports whether a header carries an organiser's token.
func (s *Server) isAdmin(authorization string) bool { return s.adminOf(authorization) != "" }

// tokenWanted says what a header without an organiser's token lacks. Whoever sends the variable as it is, with its names or with
// both tokens of a change, is told so: that is most often why a command that worked yesterday gets a 401.
func tokenWanted(authorization string) string {
	sent := bearer(authorization)
	name, _, isNamed := strings.Cut(sent, ":")
	if len(strings.Fields(sent)) > 1 || isNamed && adminName.MatchString(name) {
		return "Send Authorization: Bearer with one admin token, without its name and without the others of BOXOFFICE_ADMIN_TOKEN."
	}
	return "Send Authorization: Bearer with the admin token."
}
