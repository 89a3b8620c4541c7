package api

import (
	"errors"
	"fmt"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

// profileSecondsMax is how long a recording may take.
const profileSecondsMax = 60

// profileMax is how long such a request may take: the recording, and what net/http/pprof does before and after it.
const profileMax = (profileSecondsMax + 10) * time.Second

// profile answers /debug/pprof/, one request at a time, because a profile costs the process some of its speed. It always wants
// the organiser's token: a heap has buyers' addresses in it. If the organiser's routes have no listener of their own, it wants a
// client on this machine too.
func (s *Server) profile(c *gin.Context) {
	if !s.isAdmin(c.GetHeader("Authorization")) {
		s.abort(c, &domain.Error{Code: domain.CodeUnauthorized, Detail: "Send Authorization: Bearer with the admin token."})
		return
	}
	if s.admin != nil && s.admin == s.public && !s.clientOf(c.Request).IsLoopback() {
		s.notFound(c)
		return
	}
	if err := checkProfileSeconds(c.Query("seconds")); err != nil {
		s.abort(c, &domain.Error{Code: domain.CodeInvalid, Field: "seconds", Detail: err.Error()})
		return
	}
	select {
	case s.profiles.permits <- struct{}{}:
		defer func() { <-s.profiles.permits }()
	default:
		s.abort(c, &domain.Error{Code: domain.CodeOverloaded, Err: errors.New("another profile is being recorded")})
		return
	}
	switch name := c.Param("profile"); name {
	case "/cmdline":
		pprof.Cmdline(c.Writer, c.Request)
	case "/profile":
		pprof.Profile(c.Writer, c.Request)
	case "/trace":
		pprof.Trace(c.Writer, c.Request)
	case "/symbol":
		pprof.Symbol(c.Writer, c.Request)
	default: // the list, or one that it names
		pprof.Index(c.Writer, c.Request)
	}
}

// checkProfileSeconds: without seconds a CPU profile takes 30.
func checkProfileSeconds(seconds string) error {
	n, err := strconv.Atoi(seconds)
	if seconds != "" && (err != nil || n < 1 || n > profileSecondsMax) {
		return fmt.Errorf("seconds must be 1 to %d", profileSecondsMax)
	}
	return nil
}
