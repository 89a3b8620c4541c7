package waitingroom

import "boxoffice/domain"

// Named says which place a token is for, whatever its state. Not ok: the token is not
// ours.
func (r *Rooms) Named(token string) (domain.QueuePlace, bool) {
	c, ok := verify(r.o.Keys, token)
	return domain.QueuePlace{Index: c.index, Epoch: c.epoch, JoinedAt: c.joinedAt}, ok
}

// Token is the inverse of Named: the token that Join returned for a place. Only call it
// if you know whose place it is.
func (r *Rooms) Token(saleID string, place domain.QueuePlace) string {
	return sign(r.o.Keys, saleID, place.Epoch, place.Index, place.JoinedAt)
}
