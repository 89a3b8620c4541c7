package waitingroom

import "boxoffice/domain"

// Named is which place a token is for, wherever it stands; not ok: the token is none of ours.
func (r *Rooms) Named(token string) (domain.QueuePlace, bool) {
	c, ok := verify(r.o.Keys, token)
	return domain.QueuePlace{Index: c.index, Epoch: c.epoch, JoinedAt: c.joinedAt}, ok
}

// Token is the inverse of Named: the token that Join answered for a place. Whoever calls it
// knows whose place it is.
func (r *Rooms) Token(saleID string, place domain.QueuePlace) string {
	return sign(r.o.Keys, saleID, place.Epoch, place.Index, place.JoinedAt)
}
