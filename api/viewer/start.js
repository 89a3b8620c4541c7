'use strict';
// Nothing of it leaves this site: no validator, and tokens are forgotten with the page.
SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#api',
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  defaultModelsExpandDepth: 0,
  requestInterceptor: (request) => Object.assign(request, { credentials: 'same-origin' }),
});
