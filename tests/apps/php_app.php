<?php  // NAME=… php -d session.save_path=FOLDER -S 127.0.0.1:PORT php_app.php
header('Content-Type: application/json');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$answer = ['server' => getenv('NAME')];
if ($path !== '/healthz') {
    session_start();
}
switch ($path) {
    case '/healthz':
        break;
    case '/basket':
        $answer['basket'] = $_SESSION['basket'] = ($_SESSION['basket'] ?? 0) + 1;
        break;
    case '/login':
        session_regenerate_id(true);  // against fixation, as the manual says
        $answer['user'] = $_SESSION['user'] = $_GET['user'];
        $_SESSION['visits'] = 0;
        break;
    case '/whoami':
        $answer += ['user' => $_SESSION['user'] ?? null, 'visits' => 0];
        if ($answer['user'] === null) {
            http_response_code(401);
        } else {
            $answer['visits'] = ++$_SESSION['visits'];
        }
        break;
    case '/logout':
        $_SESSION = [];
        session_destroy();
        setcookie(session_name(), '', time() - 42000, '/');
        break;
    default:
        http_response_code(404);
}
echo json_encode($answer);
