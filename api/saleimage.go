package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	"boxoffice/domain"
	"boxoffice/flight"
	"boxoffice/picture"
)

// The image of a sale. Files are kept in memory: everybody who opens the page of a sale asks for its image.

const imagesKeptMax = 16 // files, some hundred kB each

type imageCache struct {
	kept    *lru.Cache[string, []byte]
	flights flight.Group
}

func newImageCache() (*imageCache, error) {
	kept, err := lru.New[string, []byte](imagesKeptMax)
	return &imageCache{kept: kept}, err
}

// ImageView is the image of a sale.
type ImageView struct {
	URL    string `json:"url" doc:"Relative to the server. Another image has another URL"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

func viewImage(sale *domain.Sale) *ImageView {
	if sale.Image == (domain.SaleImage{}) {
		return nil
	}
	return &ImageView{sale.ImagePath(), sale.Image.Width, sale.Image.Height}
}

type putImageInput struct {
	Sale    string `path:"sale" doc:"The sale's id"`
	IfMatch string `header:"If-Match" doc:"The ETag of the sale that you read"`
	RawBody []byte `contentType:"image/*"`
}

// putImage gives a sale an image. The file is drawn anew, whatever it was.
func (s *Server) putImage(ctx context.Context, in *putImageInput) (*saleOutput, error) {
	versions, err := parseIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	drawn, err := picture.Read("image", in.RawBody)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(drawn.JPEG)
	made := domain.SaleImage{Hash: hex.EncodeToString(hash[:16]), Width: drawn.Width, Height: drawn.Height}
	return s.changeImage(ctx, in.Sale, versions, made, drawn.JPEG)
}

type deleteImageInput struct {
	Sale    string `path:"sale" doc:"The sale's id"`
	IfMatch string `header:"If-Match" doc:"The ETag of the sale that you read"`
}

func (s *Server) deleteImage(ctx context.Context, in *deleteImageInput) (*saleOutput, error) {
	versions, err := parseIfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	return s.changeImage(ctx, in.Sale, versions, domain.SaleImage{}, nil)
}

func (s *Server) changeImage(ctx context.Context, id string, versions []int64, made domain.SaleImage, file []byte) (*saleOutput, error) {
	return s.applyChange(ctx, id, domain.SaleChange{Versions: versions, Image: file}, func(*domain.Sale) func(*domain.Editable) error {
		return func(e *domain.Editable) error {
			e.Image = made
			return nil
		}
	})
}

type saleImageInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
	Hash string `path:"hash" doc:"As the sale's view has it"`
}

type saleImageOutput struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Body         []byte
}

// saleImage shows the image that a sale has now. Its address never shows another one, so everybody may keep it.
func (s *Server) saleImage(ctx context.Context, in *saleImageInput) (*saleImageOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	switch {
	case err != nil:
		return nil, err
	case in.Hash == "" || sale.Image.Hash != in.Hash:
		return nil, domain.NotFound("image of this sale")
	}
	key := sale.ID + "/" + in.Hash
	file, ok := s.images.kept.Get(key)
	if !ok {
		if file, err = flight.Share(ctx, &s.images.flights, key, requestTimeout, func(ctx context.Context) ([]byte, error) {
			return s.Orders.SaleImage(ctx, sale.ID, in.Hash)
		}); err != nil {
			return nil, err
		}
		s.images.kept.Add(key, file)
	}
	return &saleImageOutput{"image/jpeg", "public, max-age=31536000, immutable", file}, nil
}

func (s *Server) routeImages(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "get-sale-image", Method: http.MethodGet, Path: "/v1/sales/{sale}/images/{hash}",
		Summary: "The image of a sale", Tags: []string{"sales"},
		Description: "A JPEG. The address is in the sale's view, and never shows another image.",
		Responses: map[string]*huma.Response{"200": {
			Description: "An image", Content: map[string]*huma.MediaType{"image/jpeg": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.saleImage)
}

func (s *Server) routeImagesAdmin(api huma.API, admin func(huma.Operation) huma.Operation) {
	codes := []domain.Code{
		domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeChanged, codeVersionMissing, domain.CodeOverloaded,
	}
	operation(s, api, admin(huma.Operation{
		OperationID: "put-sale-image", Method: http.MethodPut, Path: "/v1/sales/{sale}/image",
		Summary: "Give a sale an image", Description: "The body is the file: a PNG, JPEG or WebP of up to 8 MiB and 24 million pixels. It is drawn anew as a JPEG of " +
			"at most 1600 pixels a side: nothing of the file comes along but its pixels. `If-Match` as for a change of the sale.",
		MaxBodyBytes: picture.FileBytesMax + 1,
	}), codes, s.putImage)
	operation(s, api, admin(huma.Operation{
		OperationID: "delete-sale-image", Method: http.MethodDelete, Path: "/v1/sales/{sale}/image",
		Summary: "Take a sale's image away", Description: "`If-Match` as for a change of the sale.", DefaultStatus: http.StatusOK,
	}), codes, s.deleteImage)
}
