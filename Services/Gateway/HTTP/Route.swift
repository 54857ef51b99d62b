import HTTPTypes

/// The public paths.
///
/// One table, so that the router, the answers to a wrong method and the metrics' labels cannot
/// disagree.
enum Route: String, Sendable, CaseIterable {
  case chat = "/v1/chat/completions"
  case ner = "/v1/ner"
  case models = "/v1/models"
  case model = "/v1/models/{id}"
  case health = "/health"

  /// The label of requests that match no path.
  static let unmatched = "unmatched"

  /// The method that the path knows; GET means HEAD as well.
  var method: HTTPRequest.Method {
    switch self {
    case .chat, .ner: .post
    case .models, .model, .health: .get
    }
  }

  /// The value of `Allow`.
  var allow: String { method == .get ? "GET, HEAD" : method.rawValue }

  /// The route of a path, whatever the method; a trailing slash does not matter.
  init?(path: String) {
    let parts = path.split(separator: "/")
    let match = Self.allCases.first { route in
      let template = route.rawValue.split(separator: "/")
      return template.count == parts.count
        && zip(template, parts).allSatisfy {
          // Bytes: Swift's == takes time quadratic in the length of a hostile text.
          $0.utf8.elementsEqual($1.utf8) || $0.hasPrefix("{")
        }
    }
    guard let match else { return nil }
    self = match
  }
}
