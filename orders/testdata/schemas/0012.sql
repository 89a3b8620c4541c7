INSERT INTO spent_challenges (nonce, until) VALUES (decode(md5('{sale}'), 'hex'), 'infinity') ON CONFLICT DO NOTHING;
